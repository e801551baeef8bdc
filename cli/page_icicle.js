/* The icicle. */

const ICICLE_ROW = 26; /* pixels */
const LEAST = 0.002; /* of the width: what is narrower is not drawn */
const NARROW = 0.02; /* and what is narrower than that has no room for its name */

const MEASURES = [['leaks', 'leaked'], ['held', 'held now'], ['reaped', 'reaped'], ['late', 'closed late']];

function treeBy(measure) {
    const root = { name: 'all', value: 0, parent: null, depth: 0, below: new Map() };
    for (const site of data.sites) {
        const value = site[measure];
        if (value === 0)
            continue;
        const frames = site.stack.length > 0 ? site.stack.map(at => data.frames[at]).reverse() : [site.name];
        let node = root;
        node.value += value;
        for (const frame of frames) {
            if (!node.below.has(frame))
                node.below.set(frame, { name: frame, value: 0, parent: node, depth: node.depth + 1, below: new Map() });
            node = node.below.get(frame);
            node.value += value;
        }
    }
    return root;
}

function hueOf(name) {
    let hash = 0;
    for (const character of name)
        hash = (hash * 31 + character.codePointAt(0)) % 3600;
    return hash / 10;
}

/* What is wider comes first, and what is called by the first letter. */
const byWidth = (a, b) => b.value - a.value || (a.name < b.name ? -1 : 1);

/* A button for each node that is drawn; one of them can be reached by Tab, the others by arrows. */
class Icicle {
    constructor(chart, select) {
        this.chart = chart;
        this.select = select;
        this.measure();
    }

    measure() {
        this.root = treeBy(this.select.value);
        this.zoom(this.root, false);
    }

    tell(node) {
        const share = (100 * node.value / this.root.value).toFixed(1) + ' %';
        return [numbers.format(node.value) + ' ' + this.select.selectedOptions[0].textContent, share];
    }

    say(node) {
        byId('icicle-said').textContent = node.name + ': ' + this.tell(node).join(', ') + ' of all';
    }

    put(node, row, left, width, outer) {
        const label = [node.name, ...this.tell(node), ...(outer ? ['zoomed into'] : [])].join(', ');
        const button = element('button', { type: 'button', title: label, 'aria-label': label, tabindex: '-1' }, width > NARROW ? node.name : '');
        button.classList.toggle('outer', outer);
        button.classList.toggle('narrow', width <= NARROW);
        button.style.left = 100 * left + '%';
        button.style.width = 100 * width + '%';
        button.style.top = row * ICICLE_ROW + 'px';
        button.style.setProperty('--hue', hueOf(node.name));
        this.buttons.set(node, button);
        this.chart.append(button);
    }

    /* Returns the row below the last. */
    putBelow(node, row, left, width) {
        let rows = row;
        for (const child of [...node.below.values()].sort(byWidth)) {
            const its = width * child.value / node.value;
            if (its < LEAST)
                break;
            this.put(child, row, left, its, false);
            rows = Math.max(rows, this.putBelow(child, row + 1, left, its));
            left += its;
        }
        return rows;
    }

    /* Whether the browser is to follow: not when it was the browser that moved. */
    focus(node, really) {
        const button = this.buttons.get(node);
        if (!button)
            return;
        if (this.buttons.get(this.focused))
            this.buttons.get(this.focused).tabIndex = -1;
        this.focused = node;
        button.tabIndex = 0;
        if (really)
            button.focus();
        this.say(node);
    }

    zoom(node, really) {
        this.zoomed = node;
        this.buttons = new Map();
        this.chart.replaceChildren();
        const outer = [];
        for (let above = node; above; above = above.parent)
            outer.unshift(above);
        outer.forEach((above, row) => this.put(above, row, 0, 1, above !== this.root));
        this.chart.style.height = this.putBelow(node, outer.length, 0, 1) * ICICLE_ROW + 'px';
        byId('icicle-out').disabled = byId('icicle-all').disabled = node === this.root;
        this.focus(node, really);
    }

    zoomOut(really) {
        this.zoom(this.zoomed.parent || this.root, really);
    }

    nodeOf(button) {
        return [...this.buttons].find(([, its]) => its === button)?.[0];
    }

    drawnBelow(node) {
        return [...node.below.values()].filter(child => this.buttons.has(child)).sort(byWidth);
    }

    beside(node, by) {
        const all = node.parent ? this.drawnBelow(node.parent) : [node];
        return all[all.indexOf(node) + by] || node;
    }
}

const ICICLE_KEYS = {
    Escape: icicle => icicle.zoomOut(true),
    ArrowUp: (icicle, node) => icicle.focus(node.parent || node, true),
    ArrowDown: (icicle, node) => icicle.focus(icicle.drawnBelow(node)[0] || node, true),
    ArrowLeft: (icicle, node) => icicle.focus(icicle.beside(node, -1), true),
    ArrowRight: (icicle, node) => icicle.focus(icicle.beside(node, 1), true),
    Home: icicle => icicle.focus(icicle.root, true),
};

function listenToIcicle(icicle) {
    const nodeAt = event => icicle.nodeOf(event.target.closest('button'));
    icicle.chart.addEventListener('keydown', event => {
        const node = nodeAt(event);
        if (!node || !ICICLE_KEYS[event.key] || event.altKey || event.ctrlKey || event.metaKey)
            return;
        event.preventDefault();
        ICICLE_KEYS[event.key](icicle, node);
    });
    icicle.chart.addEventListener('click', event => {
        const node = nodeAt(event);
        if (node)
            icicle.zoom(node === icicle.zoomed && node.parent ? node.parent : node, true);
    });
    icicle.chart.addEventListener('pointerover', event => {
        const node = nodeAt(event);
        if (node)
            icicle.say(node);
    });
    icicle.chart.addEventListener('focusin', event => icicle.focus(nodeAt(event), false));
    byId('icicle-out').addEventListener('click', () => icicle.zoomOut(false));
    byId('icicle-all').addEventListener('click', () => icicle.zoom(icicle.root, false));
    icicle.select.addEventListener('change', () => icicle.measure());
}

function drawIcicle() {
    const select = byId('icicle-measure');
    const measures = MEASURES.filter(([measure]) => data.sites.some(site => site[measure] > 0));
    if (measures.length === 0)
        return;
    for (const [measure, words] of measures)
        select.append(element('option', { value: measure }, words));
    listenToIcicle(new Icicle(byId('icicle-chart'), select));
    byId('icicle').hidden = false;
}
